package wechatpay

import (
	"encoding/json"
	"time"
)

// emptyOrTime decodes a time that WeChat Pay may send as an empty string, which
// is decoded as the zero time.
type emptyOrTime time.Time

func (t *emptyOrTime) UnmarshalJSON(data []byte) error {
	if string(data) == `""` {
		*t = emptyOrTime{}
		return nil
	}
	return (*time.Time)(t).UnmarshalJSON(data)
}

// stringOrList decodes a list of strings that WeChat Pay may send as one string.
type stringOrList []string

func (l *stringOrList) UnmarshalJSON(data []byte) error {
	if data[0] != '"' {
		return json.Unmarshal(data, (*[]string)(l))
	}
	var one string
	if err := json.Unmarshal(data, &one); err != nil {
		return err
	}
	*l = nil
	if one != "" {
		*l = stringOrList{one}
	}
	return nil
}

// objectOrList decodes the complaint_media_list of a NegotiationRecord, which is
// documented as one object. It accepts a list too.
type objectOrList []ComplaintMedia

func (l *objectOrList) UnmarshalJSON(data []byte) error {
	if data[0] != '{' {
		return json.Unmarshal(data, (*[]ComplaintMedia)(l))
	}
	var one ComplaintMedia
	if err := json.Unmarshal(data, &one); err != nil {
		return err
	}
	*l = objectOrList{one}
	return nil
}

func (l objectOrList) MarshalJSON() ([]byte, error) {
	if len(l) == 1 {
		return json.Marshal(l[0])
	}
	return json.Marshal([]ComplaintMedia(l))
}
