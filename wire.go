package wechatpay

import (
	"encoding/json"
	"time"
)

// emptyOrTime is a time that may come as an empty string, which means that
// there is none. [time.Time] alone would refuse it, and with it the whole page
// that it is on.
type emptyOrTime time.Time

func (t *emptyOrTime) UnmarshalJSON(data []byte) error {
	if string(data) == `""` {
		*t = emptyOrTime{}
		return nil
	}
	return (*time.Time)(t).UnmarshalJSON(data)
}

// stringOrList is a list that has also been seen as one bare string.
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

// objectOrList is the complaint_media_list of a record: documented as one
// object in spite of its name, and seen as a list.
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
